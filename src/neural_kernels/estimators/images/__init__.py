"""Images before they reach a network.

- `scaler`: what users call, channels standardised or pixels whitened;
- `scalings`: the two, each found from images in parts;
- `scatter`: means, variances and covariances of rows in parts;
- `contrast`: each image by itself, centred and of one norm;
- `blocks`: arrays of images in memory or on disk, read a block at a time;
- `dataset`: data sets whose items are images, as such arrays.
"""
