"""What an assistant remembers of its users: notes, found again by what they mean, and forgotten for good.

In: notes, and an embedder. Out: notes that are like a question, as a passage that a prompt can hold. It loads
no model: vectors come from a function that it is handed.

    memory         the protocol, and the values that go through it
    chroma_memory  Chroma behind it               stored_embedder  whose vectors a folder holds
    embedder       texts as vectors               erasure          what is left of a text in files
    ranking        which notes come first         passage          notes as a prompt may hold them
"""
