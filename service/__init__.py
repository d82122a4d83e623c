"""Uploads, jobs, the database, REST and the pages: everything around the model that people touch."""
