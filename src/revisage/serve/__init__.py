"""Serve restorations over HTTP, with a web page; every image is handled in threads, off the event loop.

::

    settings                    address, models, limits
    engine · batching           restorers behind a bounded queue; faces of several requests in one call of the network
    fields · uploads · replies  what requests hold, and what they want; clients that leave
    one_image                   an upload -> its restoration or its faces
    restore_routes              /v1/restore, /v1/detect
    job · job_run · jobs        a job and its folder; its run; the queue of them
    job_routes                  /v1/jobs
    health · metrics · access   /healthz, /readyz, /v1/models; /metrics; the API key
    problems · openapi          errors as replies; what no signature says
    app · run                   the application; the server
    page · page_*               the web page; photos · restored_file: what it holds and shows
"""
