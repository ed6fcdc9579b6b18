"""What a run left on disk: run folder, journal, record, verification, evidence. Readable without torch."""
