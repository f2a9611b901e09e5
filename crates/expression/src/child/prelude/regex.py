import re as _re
def regex_match(value, regex):
    return _re.match(regex, value) is not None
def regex_replace(value, regex, repl):
    return _re.sub(regex, repl, value)
