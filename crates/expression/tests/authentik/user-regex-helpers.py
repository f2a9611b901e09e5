return {
    "nickName": regex_replace(user.username, r"@.*$", ""),
    "match": regex_match(user.username, r"^bj.*"),
    "none": regex_match(user.username, r"jensen"),
}
