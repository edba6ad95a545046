"""An ML backend of Label Studio: `main` serves, `annotator` answers, `tasks` and `brush` know its formats."""
