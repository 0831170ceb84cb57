"""Compares the error of Winograd's transform F(4x4, 3x3) in binary32 for several sets of points; needs NumPy.

usage: python benches/winograd_error.py

Prints, for the points 0, a, -a, b, -b and infinity, the error of the results relative to the root of their mean square:
its own root of the mean square and its maximum over 400 tiles of 32 channels. The last line is the plain sum.
"""

import numpy

TILES, CHANNELS, TILE, KERNEL, PATCH = 400, 32, 4, 3, 6
SINGLE = numpy.float32


def matrices(a, b):
    """The maps of patches, kernels and products, in binary64."""
    points = [0.0, a, -a, b, -b]
    patch = numpy.zeros((PATCH, PATCH))
    for row, point in enumerate(points):
        # Coefficients of the product of (x - other) over the other finite points, lowest first.
        others = numpy.poly([other for other in points if other != point])[::-1]
        patch[row, : len(others)] = others
    patch[5] = numpy.poly(points)[::-1]
    shares = [1.0 / numpy.prod([point - other for other in points if other != point]) for point in points]
    powers = numpy.array([[point**power for power in range(TILE)] for point in points])
    kernel = numpy.vstack([powers[:, :KERNEL] * numpy.array(shares)[:, None], [0, 0, 1]])
    tile = numpy.vstack([powers, [0, 0, 0, 1]])
    return patch, kernel, tile.T


def both_sides(matrix, values):
    """matrix . values . matrix transposed, each step in binary32."""
    matrix = matrix.astype(SINGLE)
    return numpy.einsum("...jk,ik->...ji", numpy.einsum("ij,...jk->...ik", matrix, values), matrix)


def error(found, exact):
    scale = numpy.sqrt((exact**2).mean())
    difference = found - exact
    return f"{numpy.sqrt((difference**2).mean()) / scale:.1e} {numpy.abs(difference).max() / scale:.1e}"


def main():
    generator = numpy.random.default_rng(0)
    patches = generator.standard_normal((TILES, CHANNELS, PATCH, PATCH)).astype(SINGLE)
    kernels = generator.standard_normal((CHANNELS, KERNEL, KERNEL)).astype(SINGLE)
    exact = numpy.zeros((TILES, TILE, TILE))
    plain = numpy.zeros((TILES, TILE, TILE), SINGLE)
    for channel in range(CHANNELS):
        for row in range(KERNEL):
            for column in range(KERNEL):
                window = patches[:, channel, row : row + TILE, column : column + TILE]
                exact += window.astype(float) * float(kernels[channel, row, column])
                plain += window * kernels[channel, row, column]
    for a, b in [(1, 2), (1, 0.5), (0.5, 1.5), (0.75, 1.5), (0.75, 1.25)]:
        patch, kernel, tile = matrices(a, b)
        evaluated, weights = both_sides(patch, patches), both_sides(kernel, kernels)
        products = numpy.zeros((TILES, PATCH, PATCH), SINGLE)
        for channel in range(CHANNELS):
            products += evaluated[:, channel] * weights[channel]
        print(f"a = {a}, b = {b}: {error(both_sides(tile, products), exact)}")
    print(f"plain sum: {error(plain, exact)}")


if __name__ == "__main__":
    main()
