"""Private instances of the services that the tests need: started on free ports, ended by pid.

This program installs nothing and never touches an instance that it did not start.
"""
