def sort(data):
    return sorted(data)
