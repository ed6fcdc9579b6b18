"""What turns prompts into tokens and probabilities: one protocol, and one file for each way to do it.

In: prompts (text or chats) and how to sample. Out: replies with the probability of every token, and the
probabilities of given choices. Never: what a workload does with them, or a journal.
"""
