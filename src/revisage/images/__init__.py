"""The only readers and writers of files on the way from a photo to a restored photo."""
