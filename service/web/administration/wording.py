"""What the pages of an administrator say was refused or done, to be said in their language."""

from service.errors import ServiceError
from service.web.language import _, marked
from service.web.refusal_wording import told
from service.web.rendering import sentence

DONE = {
    "withdrawn": marked("The invitation is withdrawn: its link opens nothing any more."),
    "role": marked("The account has another role. Its keys have lost what that does not allow."),
    "disabled": marked("The account is shut out: its logins have ended, and its keys are refused."),
    "enabled": marked("The account is let in again, with its password and its keys."),
    "logins": marked("Every login of the account has ended."),
    "second-factor": marked("The password alone opens the account now. Its logins have ended."),
    "revoked": marked("The key is revoked: nothing is answered to it any more."),
}

# By code; what is not here is said as it is everywhere.
REFUSALS = {
    "username_taken": marked("An account has this name already. Choose another."),
    "username_not_valid": marked(
        "A user name has 1 to 64 letters, digits or . _ @ - and begins with a letter or digit."
    ),
    "role_not_valid": marked("Choose a role."),
    "own_account": marked("This is your own account. Another administrator may do this."),
    "last_administrator": marked(
        "Nobody would be left who administers your organisation. Make somebody else an administrator first."
    ),
    "account_not_found": marked("No account of your organisation has this name."),
    "account_disabled": marked("This account is shut out. Let it in first, or choose another."),
    "api_key_name_not_valid": marked("Say what the key is for, in 1 to 100 characters."),
}

SCOPES = {
    "scans:read": marked("read scans"),
    "scans:write": marked("upload and delete scans"),
    "predictions:read": marked("read predictions and their results"),
    "predictions:write": marked("cancel, retry and review predictions"),
    "models:read": marked("read models"),
    "admin": marked(
        "administer: accounts, keys, audit; with an account of the installation's own organisation "
        "also promote, train, evaluate and watch models, and have scans scored again"
    ),
}


def said(refusal: ServiceError) -> str:
    """Say why something was not done."""
    words = REFUSALS.get(refusal.code)
    if words is not None:
        return _(words)
    return sentence(told(refusal.code, str(refusal), refusal.details()).said)
