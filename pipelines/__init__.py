"""The stages of ``dvc.yaml``: thin scripts that read, call the library and write."""
