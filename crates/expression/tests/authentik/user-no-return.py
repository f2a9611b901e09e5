unused = user.username
