"""Runs in the app's background: the queue, the worker thread, pause and stop."""
