"""What a served model needs beside the model: its door, the log of requests, facts of a scan.

    gate      sizes of requests and their number, told before their bodies are read
    turns     how many requests are worked on at once, and for how long
    given     a request's row becomes cases
    journal   a line for each answered case, for `vertebra-ml monitor`
    facts     what the journal says of a scan: nothing that names a person or a place

Nothing here knows MLflow; `serving/pyfunc_model.py` and `vertebra_ml/tracking` put it to use.
"""
