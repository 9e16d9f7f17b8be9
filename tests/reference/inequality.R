# Estimates and standard errors of inequality statistics by R packages laeken and survey (Debian: r-cran-laeken,
# r-cran-survey). Writes inequality.csv beside itself:   Rscript tests/reference/inequality.R
#
# "generated": 240 rows of integers made by the congruences below, the same in test_influence.py.
# "eusilc": the synthetic survey that laeken ships; strata db040, clusters db030, weights rb050, incomes above zero.
# Takes some minutes, for the jackknife. Errors called "taylor" are survey's, for functions of totals; "jackknife" leaves out one cluster at a time.

suppressPackageStartupMessages({
  library(laeken)
  library(survey)
})

i <- 1:240
generated <- data.frame(
  value = (i * 7919) %% 997 + 1, weight = (i * 104729) %% 23 + 1, position = (i * 31) %% 20,
  cluster = (i - 1) %/% 6
)
generated$strata <- generated$cluster %% 3
data(eusilc)
eusilc <- with(eusilc[eusilc$eqIncome > 0, ], data.frame(
  value = eqIncome, weight = rb050, position = age, cluster = db030, strata = as.character(db040)
))

rows <- list()
keep <- function(data, statistic, kind, value) {
  text <- format(unname(value), digits = 15)
  rows[[length(rows) + 1]] <<- data.frame(data = data, statistic = statistic, kind = kind, value = text)
}

for (name in c("generated", "eusilc")) {
  frame <- get(name)
  x <- frame$value
  w <- frame$weight

  # Estimates.
  keep(name, "gini", "estimate", gini(x, weights = w)$value / 100)
  keep(name, "share_ratio(0.2, 0.2)", "estimate", qsr(x, weights = w)$value)
  for (share in c(0.1, 0.25, 0.5, 0.9)) {
    keep(name, sprintf("quantile(%s)", share), "estimate", weightedQuantile(x, w, share))
  }
  # Concentration index by the convenient regression (Kakwani, Wagstaff and van Doorslaer 1997), slope index by lm.
  mass <- tapply(w, frame$position, sum)
  rank <- ((cumsum(mass) - mass / 2) / sum(w))[as.character(frame$position)]
  spread <- weighted.mean((rank - 0.5)^2, w)
  scaled <- 2 * spread * x / weighted.mean(x, w)
  keep(name, "concentration_index", "estimate", coef(lm(scaled ~ rank, weights = w))[["rank"]])
  keep(name, "slope_index_of_inequality", "estimate", coef(lm(x ~ rank, weights = w))[["rank"]])
  keep(name, "intraclass_correlation", "estimate", summary(lm(x ~ factor(frame$strata), weights = w))$r.squared)

  # Functions of totals: estimates and Taylor errors.
  design <- svydesign(~cluster, strata = ~strata, weights = ~weight, data = frame, nest = TRUE)
  design <- update(
    design, one = 1, log_x = log(value), x_log_x = value * log(value), square = value^2, root = sqrt(value),
    inverse = 1 / value
  )
  totals <- svytotal(~ one + value + log_x + x_log_x + square + root + inverse, design)
  functions <- list(
    "mean" = quote(value / one),
    "variance" = quote(square / one - (value / one)^2),
    "theil_l" = quote(log(value / one) - log_x / one),
    "theil_t" = quote(x_log_x / value - log(value / one)),
    "generalized_entropy(2)" = quote((square * one / value^2 - 1) / 2),
    "generalized_entropy(0.5)" = quote(4 * (1 - root / sqrt(value * one))),
    "generalized_entropy(-1)" = quote((inverse * value / one^2 - 1) / 2),
    "atkinson(0.5)" = quote(1 - root^2 / (value * one)),
    "atkinson(1)" = quote(1 - exp(log_x / one) * one / value),
    "atkinson(2)" = quote(1 - one^2 / (inverse * value))
  )
  for (statistic in names(functions)) {
    found <- svycontrast(totals, functions[[statistic]])
    keep(name, statistic, "estimate", coef(found))
    keep(name, statistic, "taylor", SE(found))
  }

  # Gini: jackknife over clusters.
  replicates <- as.svrepdesign(design, type = "JKn", compress = TRUE)
  left_out <- withReplicates(replicates, function(w, data) gini(data$value, weights = w)$value / 100)
  keep(name, "gini", "jackknife", SE(left_out))
}

script <- sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))
write.csv(do.call(rbind, rows), file.path(dirname(script), "inequality.csv"), row.names = FALSE)
