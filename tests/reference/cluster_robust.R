# Coefficients, CR1, CR2, CR3 errors and Satterthwaite degrees of freedom by R package clubSandwich (Debian:
# r-cran-clubsandwich). Writes cluster_robust.csv beside itself:   Rscript tests/reference/cluster_robust.R
#
# The data are made by the congruences below, the same in test_cluster_robust.py.

suppressPackageStartupMessages(library(clubSandwich))

i <- 1:180
d <- data.frame(
  y = ((i * 7919) %% 997) / 100, x = ((i * 31) %% 53) / 10, w = (i * 104729) %% 23 + 1,
  unit = (i - 1) %/% 4, year = (i - 1) %% 4
)
d$g <- floor(14 * (d$unit / 45)^1.5)
d$treated <- as.numeric(d$g >= 10)
d$post <- d$treated * (d$year >= 2)
d$y <- d$y + d$g / 3 + d$x / 7
one <- aggregate(cbind(y, w) ~ g, d, mean)
one$treated <- as.numeric(one$g %in% c(1, 4, 6, 9, 12))
thin <- d[d$unit %% 7 != 3 | d$year != 1, ]

scaled <- function(x, d) data.frame(x * sqrt(d$w), y = d$y * sqrt(d$w), check.names = FALSE)

fits <- list(
  plain = list(lm(y ~ treated + x, d), d$g),
  weighted = list(lm(y ~ treated + x, d, weights = w), d$g),
  one = list(lm(y ~ treated, one), one$g),
  one_weighted = list(lm(y ~ treated, one, weights = w), one$g),
  panel = list(lm(y ~ post + x + factor(year) + factor(unit), thin), thin$g),
  # Rows scaled by the root of their weight: what absorbed unit effects and a variance of 1 / weight come to.
  panel_scaled = list(
    lm(y ~ 0 + ., scaled(model.matrix(y ~ post + x + factor(year) + factor(unit), thin), thin)), thin$g
  )
)
rows <- list()
digits <- function(value) sprintf("%.16g", value)
for (name in names(fits)) {
  fit <- fits[[name]][[1]]
  for (kind in c("CR1", "CR2", "CR3")) {
    if (grepl("panel", name) && kind != "CR2") next
    v <- vcovCR(fit, cluster = fits[[name]][[2]], type = kind)
    test <- as.data.frame(coef_test(fit, v, test = "Satterthwaite"))
    test <- test[!grepl("unit", rownames(test)), ]
    rownames(test) <- gsub("`", "", rownames(test))
    names(test) <- tolower(names(test))
    rownames(v) <- colnames(v) <- gsub("`", "", rownames(v))
    cov <- as.matrix(v)["treated" == rownames(v) | "post" == rownames(v), , drop = FALSE]
    rows[[length(rows) + 1]] <- data.frame(
      case = name, kind = kind, term = rownames(test),
      estimate = digits(test$beta), error = digits(test$se),
      df = digits(if (is.null(test$df)) test$df_satt else test$df), p = digits(test$p_satt),
      covariance = digits(cov[1, rownames(test)])
    )
  }
}
file <- sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE))
write.csv(do.call(rbind, rows), file.path(dirname(file), "cluster_robust.csv"), row.names = FALSE, quote = FALSE)
