"""Trains a network on labelled pictures: small, repeatable to the bit, and safe to kill."""
