"""The page that says whether the scans of late are like those that the model was judged on."""
