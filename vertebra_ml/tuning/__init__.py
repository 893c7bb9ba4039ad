"""Searching for better settings with keras-tuner: it goes on after a kill, and only proposes.

    space      what is tried, from ``params.yaml: tuning``
    trials     one trial in a folder of its own: trained, or what it came to before
    oracle     keras-tuner's oracles, whose state is one file, written whole
    search     a search in this process, or led for several workers
    workers    processes that train side by side, started again where one dies
    proposal   what came out, for a person to decide on

keras-tuner is imported by ``oracle`` and ``search`` alone; importing it takes ten seconds.
"""
