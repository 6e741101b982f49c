"""The native learner's arithmetic written a second time, on torch tensors, to be read beside docs/learner.md."""
