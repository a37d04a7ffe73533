"""What resumable runs share: locks, the collector of files, ordered prefetch."""
