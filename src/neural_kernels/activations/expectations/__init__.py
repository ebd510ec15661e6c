"""Expectations over two jointly normal variables, which duals are made of; nothing here knows an activation.

normal         the two variables, as standard deviations and one minus the correlation
hermite        series of an analytic function in powers of the correlation
powers         the same of a polynomial, in closed form
chebyshev      polynomials that interpolate
interpolation  integrals at few standard deviations in place of many
octaves        functions of a positive number, kept as polynomials
pieces         the kinks of a function, as truncated powers
quadrant       probability that both variables exceed thresholds
thresholds     series for one threshold each, of which those probabilities are made quickly
ramps          moments of truncated powers, in closed form
kinks          duals of functions with kinks, of all of those
meetings       what two kinks make where they meet, which no smooth table has
polar          any function without kinks but at the origin, by one rule for all norms
rays           any function with kinks, by one rule for all norms
wedge          exponentials over quadrants, as integrals over the angle
"""
