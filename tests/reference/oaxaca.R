# Oaxaca-Blinder decomposition of fuel consumption by gearbox (R's own mtcars), weighted, with the errors of
# Jann (2008) made robust: influence functions of lm through sandwich::estfun and sandwich::bread (HC1), joint for
# means and coefficients. Gap = automatic (am = 0) less manual (am = 1).
# Run in this folder: Rscript oaxaca.R   (Debian: r-base-core, r-cran-sandwich)
library(sandwich)
cars <- mtcars[, c("mpg", "wt", "hp", "am", "gear", "carb")]
write.csv(cars, "mtcars.csv", row.names = FALSE)
n <- nrow(cars)
names_x <- c("(Intercept)", "wt", "hp")

place <- function(part, rows, p) { full <- matrix(0, n, p); full[rows, ] <- part; full }

means <- function(rows) {
  x <- cbind(1, as.matrix(cars[rows, c("wt", "hp")])); w <- cars$gear[rows]
  m <- colSums(w * x) / sum(w)
  infl <- w * sweep(x, 2, m) / sum(w) * sqrt(length(rows) / (length(rows) - 1))
  list(value = m, influence = place(infl, rows, 3))
}
slopes <- function(rows, formula = mpg ~ wt + hp) {
  fit <- lm(formula, data = cars[rows, ], weights = gear)
  k <- length(rows)
  infl <- estfun(fit) %*% bread(fit) / k * sqrt(k / (k - length(coef(fit))))
  list(value = coef(fit)[names_x], influence = place(infl[, names_x], rows, 3))
}
minus <- function(a, b) list(value = a$value - b$value, influence = a$influence - b$influence)
plus <- function(a, b) list(value = a$value + b$value, influence = a$influence + b$influence)
times <- function(a, b) list(value = a$value * b$value,
  influence = sweep(a$influence, 2, b$value, "*") + sweep(b$influence, 2, a$value, "*"))

error <- function(infl, clustered) {
  if (!clustered) return(sqrt(sum(infl^2)))
  sums <- rowsum(infl, cars$carb); g <- nrow(sums)
  sqrt(sum(sums^2) * g / (g - 1))
}

one <- which(cars$am == 0); two <- which(cars$am == 1)
x1 <- means(one); x2 <- means(two); b1 <- slopes(one); b2 <- slopes(two)
stars <- list(first = b1, second = b2, pooled = slopes(seq_len(n), mpg ~ wt + hp + am))
out <- data.frame()
for (reference in names(stars)) for (clustered in c(FALSE, TRUE)) {
  star <- stars[[reference]]
  parts <- list(
    explained = times(minus(x1, x2), star),
    unexplained = plus(times(x1, minus(b1, star)), times(x2, minus(star, b2))),
    endowments = times(minus(x1, x2), b2),
    coefficients = times(x2, minus(b1, b2)),
    interaction = times(minus(x1, x2), minus(b1, b2)))
  parts$gap <- plus(parts$explained, parts$unexplained)
  for (part in names(parts)) {
    p <- parts[[part]]
    out <- rbind(out, data.frame(reference, clustered, part, characteristic = "all", value = sum(p$value),
      error = error(rowSums(p$influence), clustered)))
    if (part %in% c("explained", "unexplained")) for (k in 2:3)
      out <- rbind(out, data.frame(reference, clustered, part, characteristic = names_x[k], value = unname(p$value[k]),
        error = error(p$influence[, k], clustered)))
  }
}
out$value <- sprintf("%.12g", out$value); out$error <- sprintf("%.12g", out$error)
write.csv(out, "oaxaca_R.csv", row.names = FALSE, quote = FALSE)
