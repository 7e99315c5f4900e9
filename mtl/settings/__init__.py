"""What a run is asked: its tasks and every setting, with the sentences that refuse what cannot be."""
