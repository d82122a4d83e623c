"""What stands over and beside the contents of a report, the same on the page and in the PDF."""

from service.web.language import _, marked

_HEADINGS = {
    "use": marked("What this may be used for"),
    "probability": marked("Probability of ADHD"),
    "remarks": marked("To bear in mind"),
    "reviews": marked("Clinical review"),
    "no_review": marked("Nobody has reviewed this answer yet."),
    "final_diagnosis": marked("Final diagnosis:"),
    "earlier_reviews": marked("Earlier reviews stand on the page of the prediction."),
    "run": marked("Across the scan"),
    "quality": marked("Quality of the scan"),
    "measure": marked("Measure"),
    "value": marked("Value"),
    "among": marked("Among the training scans"),
    "pictures": marked("Pictures"),
    "scan": marked("The scan"),
    "model": marked("The model"),
    "performance": marked("How well the model did"),
    "no_performance": marked("The model's card holds no cross-validated figures."),
    "origin": marked("This report"),
    "unshown": marked(
        "Some letters of this report are in none of its fonts. The page of the prediction shows them."
    ),
}


def headings() -> dict[str, str]:
    """Return them by the names that the layouts use, in the language that is spoken."""
    return {name: _(words) for name, words in _HEADINGS.items()}
