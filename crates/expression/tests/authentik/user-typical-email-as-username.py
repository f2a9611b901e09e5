return {
    "userName": request.user.email.lower(),
}
