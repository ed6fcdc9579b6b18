"""From the fields of a config.json to layers and weights, one file per kind of layer.

Names and shapes follow the modules of transformers 5.19; tests hold them against it.
"""
