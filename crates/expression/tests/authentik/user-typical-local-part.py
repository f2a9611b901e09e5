local, _, domain = request.user.email.partition("@")
return {
    "userName": local,
    "nickName": local.capitalize(),
}
