"""Listening: how calls, grad modes, threads and processes of the program come to be heard, or are said not to be."""
