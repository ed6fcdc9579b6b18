"""From the fields of a config.json to layers and weights, as the row of its family says (`rows`).

Names and shapes follow the modules of transformers 5.19; tests hold them against it.
"""
