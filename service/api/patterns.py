"""What texts may look like, for programs as patterns of the OpenAPI document, for people in words."""

from collections.abc import Mapping

# Lines and tabs pass, other control characters do not: no database takes all of them.
_ALLOWED = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
_SHOWS = r"[^\s\x00-\x1f\x7f-\x9f]"

LINES = f"^{_ALLOWED}*$"
NOT_BLANK = f"^{_ALLOWED}*{_SHOWS}{_ALLOWED}*$"
# No blanks around it: what is counted is what is said.
SAID = f"^{_SHOWS}(?:{_ALLOWED}*{_SHOWS})?$"
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
NAME = rf"^{_SHOWS}(?:[^\x00-\x1f\x7f-\x9f]*{_SHOWS})?$"
PSEUDONYM = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
RUN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
USERNAME_ANY_CASE = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"
ACTION = r"^[a-z_]+\.[a-z_]+$"
IDENTIFIER = r"^[A-Za-z0-9-]+$"
SECONDS = r"^[0-9]+(\.[0-9]+)?(, ?[0-9]+(\.[0-9]+)?)*$"

IN_WORDS: Mapping[str, str] = {
    LINES: "text without control characters",
    NOT_BLANK: "text that is not blank, without control characters",
    SAID: "text that is not blank, without blanks around it and without control characters",
    ONE_LINE: "one line of text, without control characters",
    NAME: "one line of text that is not blank, without blanks around it and without control characters",
    PSEUDONYM: "letters, digits and . _ - with a letter or digit first",
    RUN: "letters, digits and _ - with a letter or digit first",
    USERNAME_ANY_CASE: "letters, digits and . _ @ - with a letter or digit first",
    ACTION: "an action such as user.disable",
    IDENTIFIER: "letters, digits and hyphens",
    SECONDS: "seconds such as 0.0, 1.25, with commas between them",
}
"""What a text that does not fit was expected to be."""
