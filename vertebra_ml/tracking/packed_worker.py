"""A process that holds one packed model, as a server does, and answers for files on its own disk.

Run by path, so that the library packed with the model answers, and nothing of the present one:

    python -P packed_worker.py PACKAGE

Each line of standard input is a request row as JSON; each line of standard output the answer's
rows as JSON, or ``{"error": LINE}``.
"""

import json
import os
import sys


def main(package: str) -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model(package)
    for line in sys.stdin:
        try:
            answer = model.predict(pd.DataFrame([json.loads(line)]))
        except Exception as error:  # noqa: BLE001  told to the one who asked
            answer = {"error": " ".join(str(error).split())[:500]}
        answers.write(json.dumps(answer, default=float) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
