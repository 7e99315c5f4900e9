"""Several runs as one question: did training together help, which weights, which rates?"""
