"""What several of these tests need."""


def write(branch, objects):
    """Put texts on a branch, uncommitted; None deletes."""
    for key, text in objects.items():
        if text is None:
            assert branch.objects.delete([key]) == []
        else:
            branch.objects.put(key, text.encode())


def read(branch, key):
    with branch.objects.read(key) as reader:
        return bytes(reader.read()).decode()


def keys(branch, prefix=""):
    return [info.key for page in branch.objects.list(prefix) for info in page.objects]
