"""Serve restorations over HTTP, with a web page; every image is handled off the event loop.

::

    settings        Settings                        address, models, limits
    engine          Engine                          restorers behind a bounded queue; shared by requests, page and jobs
    batching        MicroBatcher                    faces of several requests in one call of the network
    app             create_app(settings)            the application: routes, page, life span
"""
