"""The change plan of a training run: what may change, how it is verified, and what it may do to people.

The three parts are those that regulators ask of a plan for changing a learning device before it is changed
(FDA, "Marketing Submission Recommendations for a Predetermined Change Control Plan", 2024: description of
modifications, modification protocol, impact assessment). The template is fixed; a run fills in what its
records say, and says what is not known yet. :mod:`service.change_plan.filling` puts it together from the run,
the model that it made and the one that it would replace; the page and the PDF lay the same contents out.
"""

from service.change_plan.contents import ChangePlan, Part, Table
from service.change_plan.filling import Compared, Sources, fill

__all__ = ["ChangePlan", "Compared", "Part", "Sources", "Table", "fill"]
