"""What the pages of a login and of an account say was refused or done, to be said in their language."""

from service.web.language import marked

_TIME_IS_OVER = marked(
    "That was a first password, and its time is over. Ask whoever gave it to you for another."
)
# By code, on the log-in page.
LOGIN_REFUSALS = {
    "credentials_not_valid": marked("The user name or the password is not right."),
    "first_password_ended": _TIME_IS_OVER,
}

CODE_REFUSED = marked("That code is not right, too old, or used already. Wait for the next one.")
ACCOUNT_DONE = {
    "password": marked("Your password is changed, and every other login has ended."),
    "second-factor-removed": marked("The authenticator is removed. The password alone logs you in."),
    "login": marked("That login has ended."),
    "logins": marked("Every other login has ended."),
}
PASSWORDS_DIFFER = marked("The two new passwords differ. Type the new one twice.")
# By code, on the page of the account.
ACCOUNT_REFUSALS = {
    "credentials_not_valid": marked("The password you have now is not right."),
    "first_password_ended": _TIME_IS_OVER,
    "password_length": marked("The new password is too short, or longer than 256 characters."),
    "password_guessable": marked(
        "The new password is easy to guess. Take another, such as four words that do not belong together."
    ),
    "second_factor_code_not_valid": CODE_REFUSED,
    "second_factor_set": marked("There is an authenticator already. Remove it first."),
    "password_unchanged": marked("The new password is the one you have now. Take another."),
}
