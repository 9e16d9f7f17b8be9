# Means, finite populations and a change over time with R's survey package, on the samples that it ships.
#   Rscript tests/reference/precision_survey.R   (r-cran-survey; run from the top of the checkout)
# Writes precision_survey_data.csv (the rows) and precision_survey.csv (what R finds).
suppressPackageStartupMessages(library(survey))
data(api)
rows <- rbind(
  data.frame(design = "stratified", stratum = apistrat$stype, cluster = seq_len(nrow(apistrat)), weight = apistrat$pw,
             population = apistrat$fpc, api99 = apistrat$api99, api00 = apistrat$api00),
  data.frame(design = "clustered", stratum = "all", cluster = apiclus1$dnum, weight = apiclus1$pw,
             population = apiclus1$fpc, api99 = apiclus1$api99, api00 = apiclus1$api00))
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat, fpc = ~fpc)
clus <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc)
open_strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat)
open_clus <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1)
found <- function(name, population, statistic) {
  data.frame(name = name, population = population, estimate = sprintf("%.12g", coef(statistic)),
             error = sprintf("%.12g", SE(statistic)))
}
change <- function(design) svycontrast(svymean(~ api99 + api00, design), c(-1, 1))
covariance <- vcov(svymean(~ api99 + api00, open_clus))
results <- rbind(
  found("stratified", "finite", svymean(~api00, strat)), found("stratified", "endless", svymean(~api00, open_strat)),
  found("clustered", "finite", svymean(~api00, clus)), found("clustered", "endless", svymean(~api00, open_clus)),
  found("change", "endless", change(open_clus)),
  data.frame(name = "covariance", population = "endless", estimate = sprintf("%.12g", covariance[1, 2]), error = ""))
write.csv(rows, "tests/reference/precision_survey_data.csv", row.names = FALSE, quote = FALSE)
write.csv(results, "tests/reference/precision_survey.csv", row.names = FALSE, quote = FALSE)
