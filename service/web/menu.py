"""The pages of administration, in the order of their menu: a new one is added here, and nowhere else."""

from dataclasses import dataclass

from service.api.access.principal import Principal
from service.identity.permissions import Permission
from service.web.language import marked


@dataclass(frozen=True)
class Entry:
    """A page in the menu.

    Attributes
    ----------
    path : str
        Of the page; those below it belong to it.
    label : str
        Marked, to be said in the language of the page.
    permission : Permission
        Who lacks it is not led there.
    """

    path: str
    label: str
    permission: Permission

    def holds(self, path: str) -> bool:
        """Whether a page is this one or lies below it."""
        return path == self.path or path.startswith(f"{self.path}/")


ENTRIES = (
    Entry("/users", marked("Users"), Permission.MANAGE_USERS),
    Entry("/keys", marked("API keys"), Permission.MANAGE_KEYS),
    Entry("/models", marked("Models"), Permission.READ_MODELS),
    Entry("/evaluation", marked("Evaluation"), Permission.READ_MODELS),
    Entry("/training", marked("Training"), Permission.TRAIN_MODELS),
    Entry("/drift", marked("Drift"), Permission.MANAGE_MODELS),
    Entry("/reviews", marked("Reviews"), Permission.COUNT_REVIEWS),
    Entry("/audit", marked("Audit"), Permission.READ_AUDIT),
)


def entries_for(principal: Principal) -> list[Entry]:
    """Return the pages that somebody may open; none for who administers nothing."""
    return [entry for entry in ENTRIES if principal.may(entry.permission)]


def in_administration(path: str) -> bool:
    """Whether a page belongs to the menu, which it shows as a second line then."""
    return any(entry.holds(path) for entry in ENTRIES)
