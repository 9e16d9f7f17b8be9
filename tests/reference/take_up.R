# A logit of 0/1 with errors by cluster and average marginal effects, by R's glm, sandwich::vcovCL (HC0 with the factor
# G / (G - 1)) and numDeriv (Debian: r-cran-sandwich, r-cran-numderiv), the area under the curve by pROC (r-cran-proc).
# Writes take_up.csv beside itself:   Rscript tests/reference/take_up.R
#
# The data are made by the congruences below, the same in test_take_up.py.

suppressPackageStartupMessages({
  library(sandwich)
  library(numDeriv)
  library(pROC)
})

i <- 1:640
d <- data.frame(
  need = ((i * 7919) %% 997) / 100, size = ((i * 31) %% 53) * 20, rural = (i * 17) %% 5 < 2,
  kind = c("a", "b", "c")[(i * 13) %% 7 %/% 3 + 1], w = (i * 104729) %% 5 + 1, g = (i * i) %% 23
)
d$y <- as.numeric(((i * 6421) %% 631) / 631 < plogis((d$need - 5) / 4 - 0.4 * d$rural + (d$g - 11) / 30))

scaled <- function(x, w) {
  mean <- weighted.mean(x, w)
  (x - mean) / sqrt(weighted.mean((x - mean)^2, w))
}
digits <- function(value) sprintf("%.16g", value)
rows <- list()
for (case in c("plain", "weighted")) {
  d$case_weight <- if (case == "plain") 1 else d$w
  d$zneed <- scaled(d$need, d$case_weight)
  d$zsize <- scaled(d$size, d$case_weight)
  fit <- glm(y ~ zneed + zsize + rural + kind, binomial, d, weights = case_weight,
    control = glm.control(epsilon = 1e-15, maxit = 100))
  v <- vcovCL(fit, cluster = d$g, type = "HC0", cadjust = TRUE)
  x <- model.matrix(fit)
  w <- d$case_weight / sum(d$case_weight)
  flip <- function(columns, one) {
    changed <- x
    changed[, columns] <- 0
    if (!is.null(one)) changed[, one] <- 1
    changed
  }
  kinds <- c("kindb", "kindc")
  effects <- list(
    zneed = function(b) b["zneed"] * sum(w * dlogis(x %*% b)),
    zsize = function(b) b["zsize"] * sum(w * dlogis(x %*% b)),
    ruralTRUE = function(b) sum(w * (plogis(flip("ruralTRUE", "ruralTRUE") %*% b) - plogis(flip("ruralTRUE", NULL) %*% b))),
    kindb = function(b) sum(w * (plogis(flip(kinds, "kindb") %*% b) - plogis(flip(kinds, NULL) %*% b))),
    kindc = function(b) sum(w * (plogis(flip(kinds, "kindc") %*% b) - plogis(flip(kinds, NULL) %*% b)))
  )
  b <- coef(fit)
  for (term in names(b)) {
    rows[[length(rows) + 1]] <- data.frame(
      case = case, what = "coefficient", term = term, estimate = digits(b[term]), error = digits(sqrt(v[term, term]))
    )
  }
  for (term in names(effects)) {
    one <- effects[[term]]
    slope <- jacobian(function(p) one(setNames(p, names(b))), b)
    rows[[length(rows) + 1]] <- data.frame(
      case = case, what = "effect", term = term, estimate = digits(one(b)), error = digits(sqrt(slope %*% v %*% t(slope)))
    )
  }
  copies <- rep(seq_along(i), d$case_weight)
  area <- as.numeric(auc(roc(d$y[copies], fitted(fit)[copies], quiet = TRUE, direction = "<")))
  rows[[length(rows) + 1]] <- data.frame(
    case = case, what = "auc", term = "", estimate = digits(area), error = "0"
  )
}
file <- sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE))
write.csv(do.call(rbind, rows), file.path(dirname(file), "take_up.csv"), row.names = FALSE, quote = FALSE)
