"""An honest candidate: merge sort."""


def merge(left, right):
    out, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            out.append(left[i])
            i += 1
        else:
            out.append(right[j])
            j += 1
    return out + left[i:] + right[j:]


def sort_list(values):
    if len(values) < 2:
        return list(values)
    middle = len(values) // 2
    return merge(sort_list(values[:middle]), sort_list(values[middle:]))
