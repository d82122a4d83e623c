"""Words for what the audit keeps: what was done, to what, and by which program."""

from service.web.language import marked

# Every action that is recorded, in the groups in which people look for them.
ACTIONS = {
    "login.begin": marked("logged in"),
    "login.end": marked("logged out"),
    "login.refused": marked("was refused at the login"),
    "login.throttled": marked("tried to log in too often"),
    "login.revoke": marked("ended logins"),
    "second_factor.set": marked("set up an authenticator"),
    "second_factor.remove": marked("removed an authenticator"),
    "second_factor.reset": marked("reset a second factor"),
    "user.invite": marked("invited somebody"),
    "invitation.accept": marked("accepted an invitation"),
    "invitation.revoke": marked("withdrew an invitation"),
    "invitation.refused": marked("opened a link of an invitation that is not open"),
    "invitation.list": marked("listed invitations"),
    "user.create": marked("made an account"),
    "user.role": marked("changed a role"),
    "user.disable": marked("shut an account out"),
    "user.enable": marked("let an account in again"),
    "user.set_password": marked("set a first password"),
    "user.change_password": marked("changed their own password"),
    "user.list": marked("listed accounts"),
    "user.read": marked("looked at an account"),
    "api_key.create": marked("issued an API key"),
    "api_key.revoke": marked("revoked an API key"),
    "api_key.refused": marked("sent an API key that is not valid"),
    "api_key.list": marked("listed API keys"),
    "scan.upload": marked("uploaded a scan"),
    "scan.read": marked("looked at a scan"),
    "scan.delete": marked("deleted a scan"),
    "scan.files_removed": marked("removed the file of a scan"),
    "prediction.list": marked("listed predictions"),
    "prediction.read": marked("looked at a prediction"),
    "prediction.report": marked("took a report"),
    "prediction.cancel": marked("cancelled a prediction"),
    "prediction.retry": marked("queued a prediction again"),
    "prediction.review": marked("reviewed a prediction"),
    "review.read": marked("read reviews"),
    "review.count": marked("looked at the counts of reviews"),
    "explanation.request": marked("asked for an explanation"),
    "explanation.read": marked("looked at an explanation"),
    "model.register": marked("registered a model"),
    "model.promote": marked("let a model answer"),
    "model.rollback": marked("let the model before answer again"),
    # As it was called until promotions had a history.
    "model.activate": marked("made a model the one that answers"),
    "cohort.register": marked("registered a cohort"),
    "training.request": marked("asked for a training run"),
    "training.start": marked("started a training run"),
    "training.resume": marked("went on with a training run"),
    "training.cancel": marked("cancelled a training run"),
    "audit.read": marked("read the audit"),
    "audit.export": marked("took a copy of the audit"),
    "audit.verify": marked("checked the chain of the audit"),
    "organisation.create": marked("added an organisation"),
    "idempotency_key.expire": marked("forgot idempotency keys"),
}

KINDS = {
    "api_key": marked("API key"),
    "audit": marked("audit"),
    "cohort": marked("cohort"),
    "idempotency_key": marked("idempotency key"),
    "invitation": marked("invitation"),
    "model_version": marked("model"),
    "organisation": marked("organisation"),
    "prediction": marked("prediction"),
    "review": marked("review"),
    "scan": marked("scan"),
    "training_run": marked("training run"),
    "user": marked("account"),
}

# Who acts without an account.
PROGRAMS = {
    "anonymous": marked("nobody known"),
    "command-line": marked("the command line"),
    "identity-provider": marked("the identity provider"),
    "serve": marked("the service itself"),
    "sweeper": marked("the service's housekeeping"),
}

FAULTS = {
    "edited": marked("It was edited."),
    "missing": marked("It is missing."),
    "unlinked": marked("It does not follow the event before it."),
    "beyond_head": marked("The end of the audit is not where the database says that it ends."),
    "not_as_anchored": marked("It is another event than was noted elsewhere."),
}
