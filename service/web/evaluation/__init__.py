"""The pages about evaluation: whom models are compared on, and a model beside the one that answers."""
