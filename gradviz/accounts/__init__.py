"""Accounts: the story of one tensor's gradient, told from a graph; `gradviz explain` and `gradviz.explain` print it."""

from gradviz.accounts.composing import account_of
from gradviz.accounts.lookup import Found, look_up
from gradviz.accounts.records import Account, Choice, Held, Mark, Passage, Road, State, Step

__all__ = ["Account", "Choice", "Found", "Held", "Mark", "Passage", "Road", "State", "Step", "account_of", "look_up"]
