"""A page to play with a workload file's numbers, and to look at runs: `ullage ui FILE`.

In: the file and the folder of runs that the door was opened with, and requests that hold changes to that
file. Out: pages whose numbers are those of `ullage plan`. A request names no path: models are the file's or
the catalog's, runs are known by their folder's name. It computes no bytes, writes nothing, and loads nothing
from elsewhere.

    source    the file                     difference  one plan beside another
    state     what a URL says              runs        runs in a folder
    changed   the file with its changes    worker      a process that plans
    controls  the form                     pages       values -> HTML
    planned   text -> plan, or mistakes    door, app, server: from a request to an answer
    shown     a plan beside another        answers     what a worker does
    advice    its entries, as changes      runs_shown  runs as parts of a page
"""
