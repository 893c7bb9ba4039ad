"""Do the scans that are asked for still look like those that the model was made for?

requests    the last lines of the log of requests, as a table
reference   the same table of scans like those trained on, with the model's answers
drift       how far each column of one has moved from the other
rules       what Great Expectations holds the log to
page        all of it on one page
"""
