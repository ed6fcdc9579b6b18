"""What is known: models, GPUs, prices, and readers for the files a user has.

In: package data with its sources, config.json, safetensors and GGUF headers, model_index.json. Out:
`Architecture`, `Pipeline`, `Gpu`, `Price`. Refuses what it cannot interpret; never guesses, never
reads tensor data, never opens a connection.
"""
